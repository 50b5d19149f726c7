"""The prose of ``clayline embed --help``."""

from typing import Final

DESCRIPTION: Final = """\
Embed satellite scenes: each is cut into chips, the model makes a vector of each, and they come out as GeoParquet.

A SCENE is
  * a STAC Item (.json or .geojson) as its catalogue publishes it. Its files are looked for where its hrefs lead on this
    machine, then in --assets DIR, then beside the Item, by their names, then in S3 if its bucket is allowed;
  * a multi-band Cloud-Optimized GeoTIFF (.tif) whose bands have names, with sensor and date in its name or said by
    options;
  * a folder: every Item in it, and every .tif that no Item of it refers to; beside Items only if it has several bands
    and its sensor is known, for previews and other bands come with downloads. Folders in it are not searched;
  * an s3:// URI of an Item or a GeoTIFF, read with your own AWS credentials.
Known are Sentinel-2 L2A, Landsat 8/9 (Collection 2, Level 2 and Level 1), NAIP, LINZ, Sentinel-1 RTC, MODIS (09A1) and
PlanetScope SR; Landsat 4 to 7 and HLS with --untrained-sensors.
"""

EPILOG: Final = """\
examples:
  clayline embed S2B_29RKH_20200219_0_L2A.json --out out            the Item, its .tif files beside it
  clayline embed item.json --assets ~/Downloads --out out          the Item here, its files there
  clayline embed scenes/ more/item.json --out out --json           a folder and one more: a line of JSON for each
  clayline embed scene.tif --sensor sentinel-2-l2a --datetime 2020-02-19T11:28:31Z --boa applied --out out
  clayline embed s3://my-bucket/item.json --allow-bucket usgs-landsat --request-payer --out out

what comes out:
  DIR/MODEL/SCENE/NAME_v001.parquet       one row a chip: identifier, footprint, vector, loss, cloud and valid fraction
  DIR/MODEL/SCENE/NAME_v001_metadata.json, .json (a STAC Item), _receipt.json (what became of each chip),
                                          .png (a picture), .html (a page to look at them and search by example)
  DIR/MODEL/model_*.json                  a STAC Item of the model
  DIR/logs/                               a folder of logs for each call
  DIR/.clayline/                          what was finished, so that the same scene again is told as already there
Nothing that is in DIR is ever changed or removed: a scene that changed, another model or other options become the next
revision (_v002). Two calls with the same DIR take turns.

exit status:
  0    every scene was embedded, now or by an earlier call
  1    a scene was refused, or chips of it failed: its receipt, named at the end, says why
  2    it could not run: the command line is wrong, a scene cannot be read, no space is left. A sentence says what to do
  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n. Run again to go on: what was
       finished stays

`make demo` embeds the scene that comes with the repository. docs/scenes.md says how scenes are read, docs/schema.md
what the columns mean.
"""
