"""What operators ask and mend from the command line."""
