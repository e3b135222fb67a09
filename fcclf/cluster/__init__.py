"""Training on several machines, by TensorFlow's own distributed runtime: one client, and workers.

The client is task 0 of the cluster. It has the weights, the run directory and the only loop in Python, and it computes
shards itself; every other task is a worker, a TensorFlow server that computes the shards it is given. In each step the
weights go to the workers and sums come back; data are not sent: a worker loads them itself.

TensorFlow's runtime has no passwords and runs any graph it is sent. Whoever reaches the port of a worker or of the
client can do whatever its user can. So they listen on the loopback device alone unless told otherwise.

addresses   which tasks are in the cluster: TF_CONFIG, or flags
server      TensorFlow's server, out of reach of other machines unless told otherwise
mail        messages between client and worker before the first step
worker      a worker's life: orders in, data into its variables
client      the client's view of its workers: whether they are there, alike, and alive
training    `train` on a cluster, which resumes after a worker was lost
launch      a cluster on one machine
"""
