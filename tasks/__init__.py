"""What the flywheel does, stage by stage."""

from tasks import address_space

address_space.spare()  # before any module here imports Arrow
