# A live fetch of another image by another hand is a hold; it is not cancelled (design.md 5, preflight; 6.10)
fleet: |
  appliances:
    - {name: a}
admin a {start_fetch: {url: "https://else.example/x.iso", sha256: $sha(7.5.1)}}
run
