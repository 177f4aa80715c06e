"""What people say of answers: which to look at first, their labels, and what those come to."""
