"""Film stills by the formulas of motions: training clips with their flow and masks, and pictures in motion."""
