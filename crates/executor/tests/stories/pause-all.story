# A pause stops who is not down, staging goes on; with --all that stops too. A second run never lifts it (design.md 6.4; semantics.md `pause`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
person pause all
run
person resume
person pause
run
run
person resume
run
