"""Where pictures come from: photos, video files, webcams, and files that play as if they were webcams."""
