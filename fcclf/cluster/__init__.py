"""Training on several machines, by TensorFlow's own distributed runtime: one client, and workers.

The client is task 0 of the cluster. It has the weights, the run directory and the only loop in Python, and it computes
shards itself; every other task is a worker, a TensorFlow server that computes the shards it is given. Weights go to the
workers in each step and sums come back; data do not travel: a worker loads them itself.

TensorFlow's runtime knows no passwords and runs any graph it is sent. Whoever reaches the port of a worker or of the
client can do whatever its user can. So they listen on the loopback device alone unless told otherwise.

addresses   who is in the cluster: TF_CONFIG, or flags
server      TensorFlow's server, out of reach of other machines unless told otherwise
mail        what client and worker tell each other before the first step
worker      a worker's life: orders in, data into its variables
client      the client's view of its workers: whether they are there, and alike, and alive
training    `train` on a cluster, which goes on after a worker was lost
launch      a cluster on one machine
"""
