# The reply of the upgrade call is lost and the program dies over it: the next one looks, and never sends it again (design.md 6.1)
fleet: |
  appliances:
    - {name: a}
faults: |
  faults:
    - {on: POST /api/firmware/upgrade, fault: reply_lost}
when a GOES DOWN +5s: kill for 3m
run
