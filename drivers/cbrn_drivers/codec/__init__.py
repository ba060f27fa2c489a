"""Pure decoders: bytes in, fields or a FrameError out."""
