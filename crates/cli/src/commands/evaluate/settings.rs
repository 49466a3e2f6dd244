//! How a model was opened, for what goes on with its evaluation.

use buckler_attack::InputSpec;
use buckler_onnx::Input;
use buckler_report::ModelSettings;
use buckler_runtime::{Classifier, LoadOptions};

/// The settings of a model that was opened with some options.
pub fn of(classifier: &Classifier, options: &LoadOptions) -> ModelSettings {
    let InputSpec {
        channels,
        height,
        width,
    } = classifier.input();
    let stated = &classifier.card().input;
    let normalization = options.normalization.as_ref();
    let order = options.channel_order.or(stated.channel_order);
    ModelSettings {
        output: classifier.interface().output.clone(),
        input: Input {
            channels,
            height,
            width,
            channel_order: Some(order.unwrap_or_default()),
            preprocessing: Some(stated.preprocessing.clone().unwrap_or_default()),
            normalization: normalization.or(stated.normalization.as_ref()).cloned(),
        },
        classes: classifier.class_names().to_vec(),
    }
}
