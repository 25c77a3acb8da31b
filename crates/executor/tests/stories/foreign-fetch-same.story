# A live fetch of our image by another hand is waited for and used; its record is not ours to remove (design.md 5, stage; 6.10)
fleet: |
  appliances:
    - {name: a}
admin a {start_fetch: {url: "$url(7.5.1)", sha256: $sha(7.5.1)}}
run
