# A journal that cannot be written stops new disruptive steps at once; who is down comes back, and all goes on when it works again (design.md 6.8)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
when a1 restarts: journal breaks
at +1h: look
at +2h: journal works
run
