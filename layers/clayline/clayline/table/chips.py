"""Names of Arrow's types for rooms that hand tables on and know no Arrow."""

import pyarrow as pa

type ChipTable = pa.Table
type ChipSchema = pa.Schema
