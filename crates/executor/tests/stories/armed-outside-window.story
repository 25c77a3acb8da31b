# Armed when its window ends: it is not rebooted outside the window, and in the next one it is (semantics.md Armed)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["daily 22:00 - 02:00"]}
  appliances:
    - {name: a, upgrade_call: arms, reboot: {command: [reboot-it]}}
when a is armed +30s: kill for 6h
run
serve 30h
