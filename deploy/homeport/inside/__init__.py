"""What runs inside an app's image: single files, the standard library alone, Python >= 3.9."""
