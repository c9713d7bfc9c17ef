"""Move a picture at its own size by the coarse flow that a base answers: camera, subjects in layers, edges, time."""
