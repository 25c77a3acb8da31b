# A wave with approval: the next one starts only when a person says so, of a finished wave, once (design.md 6.4; semantics.md `approval`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  waves:
    - {name: canary, select: {names: [a1]}, approval: required}
    - {name: rest}
at +1m: person approve canary
run
wait 10h
run
person approve rest
person approve canary
person approve canary
run
