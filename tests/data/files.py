"""Files that no text editor makes, for the readers' tests: workbooks, Parquet files, data set folders."""

import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
from openpyxl import Workbook

__all__ = ["label_features", "sheet_xml", "write_dataset", "write_parquet", "write_sheet"]


def write_sheet(path, *rows, title="Sheet1"):
    """A workbook with one sheet of these rows of cells."""
    book = Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def write_parquet(path, columns, metadata=None, **options):
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, **options)
    return path


def label_features(column, names):
    return {column: {"names": names, "_type": "ClassLabel"}}


def write_dataset(folder, columns, features=None, parts=1, form=pa.ipc.new_stream):
    """A folder as `save_to_disk` lays it out."""
    folder.mkdir(parents=True)
    table = pa.table(columns)
    names = [f"data-{part:05}-of-{parts:05}.arrow" for part in range(parts)]
    for part, name in enumerate(names):
        rows = table.slice(part * len(table) // parts, (part + 1) * len(table) // parts - part * len(table) // parts)
        with (folder / name).open("wb") as file, form(file, table.schema) as writer:
            writer.write_table(rows)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features or {}}))
    return folder


def sheet_xml(path, rows, extra=()):
    """A workbook whose one sheet holds ``rows``, a piece of XML that no program need have written."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*parts.items(), *extra]:
            archive.writestr(name, content)
    return path
