# A slot that changed after its test is not used (design.md 6.5)
fleet: |
  appliances:
    - {name: a}
faults: |
  behaviours:
    - {appliance: a, does: {other_admin: {when: {after: POST /api/firmware/test}, act: {replace_slot: {version: 7.4.0}}}}}
run
