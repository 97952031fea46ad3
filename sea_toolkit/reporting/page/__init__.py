"""A page of HTML about a run, a comparison or a front, from plain data; the extra `report`."""
