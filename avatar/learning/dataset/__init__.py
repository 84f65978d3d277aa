"""From folders of photos and videos to training data: shards that stream, and packs that training reads from memory.

`source_layouts` finds whose face is in which file, and `split` who is held out. `build` makes a `plan`, lets `workers`
turn each file into tracks (`face_tracks`), writes these into shards (`shard`) and every file's fate into the `journal`;
`built_dataset` reads what came out, and `unpacking` makes a `pack` of it. `pack_building` makes one without shards.
"""
