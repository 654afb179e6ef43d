"""What runs inside a worker process and inside the zygote that forks it.

Imports nothing heavy and never grpc: a fork of a process that has used grpc hangs or crashes. Of the gateway it knows
nothing but the frames and the timeouts.
"""
