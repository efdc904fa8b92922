import os
import signal

# Several processes share the cores, here and in what tests start; a shell may have them begin deaf to Ctrl-C.
os.environ.setdefault("OMP_NUM_THREADS", "1")
signal.signal(signal.SIGINT, signal.default_int_handler)
