# The program dies right after the intent is written: whether the call was sent is observed, not guessed (design.md 6.1)
fleet: |
  appliances:
    - {name: a}
when a GOES DOWN: kill for 1m
run
