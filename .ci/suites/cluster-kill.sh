# Three servers under load, killed and paused again and again: nothing acknowledged is lost, and what was read is
# linearizable.

check "nothing acknowledged is lost, all of it is linearizable" node test/blackbox/cluster-kill.ts
