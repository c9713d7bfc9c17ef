"""The motion of any clip, taken over to a picture: no model is asked."""
