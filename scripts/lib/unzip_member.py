"""unzip_member.py ARCHIVE MEMBER TARGET: writes one member of a zip file to TARGET."""

import shutil
import sys
import zipfile

archive, member, target = sys.argv[1:]
with zipfile.ZipFile(archive) as zipped, zipped.open(member) as source, open(target, "wb") as output:
    shutil.copyfileobj(source, output)
