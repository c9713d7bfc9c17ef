"""A picture and motions in, a clip out."""
