"""An architecture, a corpus, a scorer and a detector for neuroglot, each in a file of its own."""
