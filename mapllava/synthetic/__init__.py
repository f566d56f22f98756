"""A procedural city, written as a nuScenes data set: streets, tables, map expansion, camera images.

It lets every stage run, learn and be tested without a download. :func:`create_city` builds one.
"""

from mapllava.synthetic.city import CityOptions, CitySummary, create_city

__all__ = ["CityOptions", "CitySummary", "create_city"]
