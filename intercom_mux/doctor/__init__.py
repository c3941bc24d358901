"""What is wrong with this installation, and what to do about it: looks, and changes nothing unless told to."""
