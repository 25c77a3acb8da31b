# What arrives is not the image: it is not tested and not used (design.md 6.5; 6.10)
fleet: |
  appliances:
    - {name: a}
faults: |
  behaviours:
    - {appliance: a, does: {fetch_corrupts: {times: 9}}}
run
