# One member becomes three, a dead one is replaced and the leader removed, with the command line and under load.

check "the membership changes while writes go on" node test/blackbox/members.ts
