"""From folders of pictures and videos to shards: tracks of faces, crops, figures, a plan that workers share."""
