# Three Durable Objects and the Worker in front, in workerd, under load and under every fault: as Miniflare runs them and
# as `wrangler dev` does.

check "objects under Miniflare: nothing acknowledged is lost, all of it is linearizable" node test/blackbox/workers.ts
check "objects under wrangler dev, likewise" node test/blackbox/workers.ts --under=wrangler
check "one object and two processes, likewise" node test/blackbox/workers-mixed.ts
check "a group moves from objects to processes and back, under load" node test/blackbox/moving.ts
