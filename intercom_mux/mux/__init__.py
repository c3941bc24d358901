"""Terminal multiplexers behind one small seam."""
