"""Independent judge of XML documents: lxml with the schema of OASIS.

Argument: the schema. Standard input: a JSON array of documents. Standard output: a JSON array with, for each
document, its `errors` and the `descriptions` that an XML reader finds in it.
"""

import json
import sys

from lxml import etree

CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"


def judge(schema, text):
    try:
        document = etree.fromstring(text.encode())
    except etree.XMLSyntaxError as error:
        return {"errors": [str(error)], "descriptions": []}
    schema.validate(document)
    return {
        "errors": [f"line {error.line}: {error.message}" for error in schema.error_log],
        "descriptions": [element.text or "" for element in document.iter(CAP + "description")],
    }


schema = etree.XMLSchema(etree.parse(sys.argv[1]))
json.dump([judge(schema, text) for text in json.load(sys.stdin)], sys.stdout)
