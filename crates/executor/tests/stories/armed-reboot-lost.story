# The program dies before the reboot command is run: it is not run again by guess, a person reboots (design.md 6.1; semantics.md Armed)
fleet: |
  appliances:
    - {name: a, upgrade_call: arms, reboot: {command: [reboot-it]}}
when a reboot is sent: kill for 10m
run
hands a reboot
run
