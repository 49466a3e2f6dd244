//! Attacks on request: what is asked, what it costs, whether there is room for it, and its course until the answer.
mod admission;
mod answer;
mod job;
mod metered;
mod pool;
mod wanted;

pub(crate) use self::{
    admission::{Admission, Refused, Ticket, Work, seconds},
    answer::{Answer, Attacked, Frame},
    job::{Accepted, Job, Seen},
    metered::Metered,
    pool::Pool,
    wanted::{PARAMETERS, Wanted},
};
