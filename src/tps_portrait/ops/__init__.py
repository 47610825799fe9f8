"""Pure functions of tensors: thin-plate splines, warps, landmark geometry, network blocks."""
