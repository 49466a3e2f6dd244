use prost::bytes::Bytes;

use crate::proto::{AttributeProto, AttributeType, GraphProto};

/// Sets what writers of proto3 leave out: the values of attributes that are zero or empty.
pub(crate) fn restore_zeros(graph: &mut GraphProto) {
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        if attribute.held().next().is_none() {
            match attribute.r#type() {
                AttributeType::Int => attribute.i = Some(0),
                AttributeType::Float => attribute.f = Some(0.0),
                AttributeType::String => attribute.s = Some(Bytes::new()),
                _ => (),
            }
        }
        let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
        graphs.for_each(restore_zeros);
    }
}

impl AttributeProto {
    /// An integer.
    pub fn int(name: &str, value: i64) -> Self {
        Self {
            i: Some(value),
            ..Self::named(name, AttributeType::Int)
        }
    }

    /// A list of integers.
    pub fn ints(name: &str, values: impl Into<Vec<i64>>) -> Self {
        Self {
            ints: values.into(),
            ..Self::named(name, AttributeType::Ints)
        }
    }

    /// A float.
    pub fn float(name: &str, value: f32) -> Self {
        Self {
            f: Some(value),
            ..Self::named(name, AttributeType::Float)
        }
    }

    /// A string.
    pub fn string(name: &str, value: &str) -> Self {
        Self {
            s: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Self::named(name, AttributeType::String)
        }
    }

    /// Refuses a value of another type than the stated one, and the lack of a value; in the oldest files no type is stated.
    pub(crate) fn check_type(&self) -> Result<(), String> {
        // Inside functions, which are not looked into, attributes may refer to others.
        if !self.ref_attr_name.is_empty() {
            return Err("refers to an attribute of a function, and stands in none".into());
        }
        let stated = AttributeType::try_from(self.r#type)
            .map_err(|_| format!("is of type {}, which is unknown", self.r#type))?;
        let mut held = self.held();
        match (stated, held.next(), held.next()) {
            (_, Some(one), Some(other)) => {
                Err(format!("holds two values, of types {one:?} and {other:?}"))
            }
            (AttributeType::Undefined, _, _) => Ok(()),
            (stated, Some(held), None) if stated != held => Err(format!(
                "is stated to be of type {stated:?}, and holds {held:?}"
            )),
            (stated, None, _) if !stated.is_list() => Err(format!(
                "is stated to be of type {stated:?}, and holds nothing"
            )),
            _ => Ok(()),
        }
    }

    /// The type of the value.
    pub(crate) fn kind(&self) -> AttributeType {
        match self.r#type() {
            AttributeType::Undefined => self.held().next().unwrap_or(AttributeType::Undefined),
            stated => stated,
        }
    }

    /// The types of the fields that hold something.
    fn held(&self) -> impl Iterator<Item = AttributeType> {
        use AttributeType as Type;
        let fields = [
            (Type::Float, self.f.is_some()),
            (Type::Int, self.i.is_some()),
            (Type::String, self.s.is_some()),
            (Type::Tensor, self.t.is_some()),
            (Type::Graph, self.g.is_some()),
            (Type::SparseTensor, self.sparse_tensor.is_some()),
            (Type::TypeProto, self.tp.is_some()),
            (Type::Floats, !self.floats.is_empty()),
            (Type::Ints, !self.ints.is_empty()),
            (Type::Strings, !self.strings.is_empty()),
            (Type::Tensors, !self.tensors.is_empty()),
            (Type::Graphs, !self.graphs.is_empty()),
            (Type::SparseTensors, !self.sparse_tensors.is_empty()),
            (Type::TypeProtos, !self.type_protos.is_empty()),
        ];
        let held = fields.into_iter().filter(|(_, held)| *held);
        held.map(|(kind, _)| kind)
    }

    fn named(name: &str, kind: AttributeType) -> Self {
        Self {
            name: name.into(),
            r#type: kind.into(),
            ..Self::default()
        }
    }
}

impl AttributeType {
    /// Lists may be empty.
    fn is_list(self) -> bool {
        use AttributeType as Type;
        matches!(
            self,
            Type::Floats
                | Type::Ints
                | Type::Strings
                | Type::Tensors
                | Type::Graphs
                | Type::SparseTensors
                | Type::TypeProtos
        )
    }
}
