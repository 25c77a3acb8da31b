# Who waits for an operator's reboot when its window ends is armed outside its window; nobody is asked to reboot it then (semantics.md Armed)
fleet: |
  sites:
    ams: {time_zone: UTC, windows: ["daily 20:00 - 23:00"]}
  appliances:
    - {name: a, site: ams, upgrade_call: arms}
rollout: |
  stage: ahead
at +2h: look
at +4h: look
at +25h: look
at +25h: hands a reboot
serve 27h
