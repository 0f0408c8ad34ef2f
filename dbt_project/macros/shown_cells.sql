{# C-10.7: which cells of an aggregate may be shown. Steps of `with`, the last of them `shown_cells`.

`acts` names a step with the columns `parents`, `child` and `member`: who is in which cell. The cells of one parent (a day) are ranked by their
members. Shown is none with fewer than `cell()`; and what is left out, which anybody gets by taking the shown cells from the parent's total,
is two cells at least and that many members at least: the next smallest are left out, too, until it is, or all. #}
{% macro shown_cells(acts, parents, child) -%}
    {%- set by = parents | join(', ') -%}
    cells as (

        select
            {{ by }},
            {{ child }},
            count(distinct member) as member_count
        from {{ acts }}
        group by {{ by }}, {{ child }}

    ),

    ranked as (

        select
            {{ by }},
            {{ child }},
            member_count,
            row_number() over (partition by {{ by }} order by member_count, {{ child }}) as position
        from cells

    ),

    -- the smallest cell that a member stands in, so that members of several cells are counted once
    firsts as (

        select
            {% for parent in parents %}{{ acts }}.{{ parent }},
            {% endfor -%}
            {{ acts }}.member,
            min(ranked.position) as position
        from {{ acts }}
        inner join ranked
            on
                {% for parent in parents %}{{ acts }}.{{ parent }} = ranked.{{ parent }} and {% endfor -%}
                {{ acts }}.{{ child }} = ranked.{{ child }}
        group by {% for parent in parents %}{{ acts }}.{{ parent }}, {% endfor %}{{ acts }}.member

    ),

    added as (

        select
            {{ by }},
            position,
            count(member) as member_count
        from firsts
        group by {{ by }}, position

    ),

    counted as (

        select
            {% for parent in parents %}ranked.{{ parent }},
            {% endfor -%}
            ranked.{{ child }},
            ranked.position,
            ranked.member_count,
            sum(coalesce(added.member_count, 0)) over (
                partition by {% for parent in parents %}ranked.{{ parent }}{{ ", " if not loop.last }}{% endfor %} order by ranked.position
            ) as members_up_to_here,
            max(case when ranked.member_count < {{ cell() }} then ranked.position else 0 end) over (
                partition by {% for parent in parents %}ranked.{{ parent }}{{ ", " if not loop.last }}{% endfor %}
            ) as last_small
        from ranked
        left join added
            on
                {% for parent in parents %}ranked.{{ parent }} = added.{{ parent }} and {% endfor -%}
                ranked.position = added.position

    ),

    cuts as (

        select
            {{ by }},
            case
                when max(last_small) = 0 then 0
                else coalesce(
                    min(case
                        when position >= greatest(last_small, 2) and members_up_to_here >= {{ cell() }}
                            then position
                    end),
                    max(position)
                )
            end as last_hidden
        from counted
        group by {{ by }}

    ),

    shown_cells as (

        select
            {% for parent in parents %}counted.{{ parent }},
            {% endfor -%}
            counted.{{ child }},
            counted.member_count
        from counted
        inner join cuts
            on
                {% for parent in parents %}counted.{{ parent }} = cuts.{{ parent }}{{ " and " if not loop.last }}{% endfor %}
        where counted.position > cuts.last_hidden

    )
{%- endmacro %}
