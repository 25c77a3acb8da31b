# A window shorter than anybody needs is said when it is planned; nobody starts in it (design.md 6.4)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["daily 22:00 - 22:45"]}
  appliances:
    - {name: a1}
run
