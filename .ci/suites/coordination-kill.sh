# Watches, leases and locks on three servers whose leader is killed again and again.

check "no change missed or doubled, no lease early, never two holders" node test/blackbox/coordination-kill.ts
