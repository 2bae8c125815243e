# The tarball, installed by npm into an empty project: command, modules, types, and what the README and examples/ show.

check "the installed package works" node test/blackbox/package.ts
