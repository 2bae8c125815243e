# A snapshot saved under writes, and a new cluster of three that begins with it and refuses the old one's members.

check "a cluster restored from a snapshot" node test/blackbox/restore.ts
