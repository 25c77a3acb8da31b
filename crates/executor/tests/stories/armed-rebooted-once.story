# An armed appliance is rebooted by its command, once, though the program dies over it (design.md 6.1; semantics.md Armed)
fleet: |
  appliances:
    - {name: a, upgrade_call: arms, reboot: {command: [reboot-it]}}
when a reboot is sent +10s: kill for 10m
run
