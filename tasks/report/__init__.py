"""The HTML report, the plot and the markdown note of one turn. Pure: values in, text out."""
