"""The processes of one run: how they start, meet, watch each other and agree."""
