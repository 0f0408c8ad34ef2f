with consents as (

    select * from {{ ref('stg_advertising__consents') }}

),

profiles as (

    select * from {{ ref('int_advertising__profiles') }}

),

segments as (

    select * from {{ ref('ad_segments') }}

),

segment_members as (

    select * from {{ ref('int_advertising__segment_members') }}

),

-- the zone holds grants that run at the build, nothing else: whoever withdrew has no row (C-3.4). A renewed one has two
channels as (

    select
        pseudonym,
        regexp_replace(kind, '_marketing$', '') as channel,
        min(ends_on) as ends_on
    from consents
    group by pseudonym, kind

),

-- of the segments that may be used, the one that marketing put first
chosen_segments as (

    select
        segment_members.pseudonym,
        segments.segment,
        segments.template
    from segment_members
    inner join segments on segment_members.segment = segments.segment
    where segments.is_usable
    qualify row_number() over (
        partition by segment_members.pseudonym
        order by segments.priority asc, segments.segment asc
    ) = 1

),

addressed as (

    select
        channels.pseudonym,
        channels.channel,
        profiles.top_item_category,
        coalesce(chosen_segments.segment, 'general') as segment,
        coalesce(chosen_segments.template, 'general') as template,
        least(channels.ends_on, profiles.ends_on) as ends_on
    from channels
    inner join profiles on channels.pseudonym = profiles.pseudonym
    left join chosen_segments on channels.pseudonym = chosen_segments.pseudonym

),

counted as (

    select
        pseudonym,
        channel,
        segment,
        template,
        top_item_category,
        ends_on,
        count(pseudonym) over (partition by channel, segment) as company
    from addressed

),

-- a segment with few members who may be written to in this way would tell who they are
generalised as (

    select
        pseudonym,
        channel,
        top_item_category,
        ends_on,
        case when company < {{ cell() }} then 'general' else segment end as segment,
        case when company < {{ cell() }} then 'general' else template end as template
    from counted

),

email_audience as (

    select
        pseudonym,
        channel,
        segment,
        template,
        top_item_category,
        ends_on
    from generalised

)

select * from email_audience
